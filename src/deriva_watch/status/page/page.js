"use strict";
new EventSource("stream").addEventListener("overview", (event) => {
  const found = JSON.parse(event.data);
  document.getElementById("verdict").textContent =
    found.verdict ? found.verdict.text : found.healthy ? "healthy" : found.problems.join(" ");
});
