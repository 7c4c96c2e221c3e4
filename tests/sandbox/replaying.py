"""Replays recorded exchanges and says where the answers differ.

A scenario has steps. A step sends a request as somebody, binds names to parts of the
answer, and compares the answer with what the real server said. ``${name}`` stands for
a bound value, ``${name|url}`` for the same percent-encoded.
"""

import hashlib
import json
import random
import re
import threading
import time
from urllib.parse import quote

NAME = re.compile(r"\$\{(\w+)(\|url)?\}")
STEP = re.compile(r"\.([\w-]+)|\['([^']*)'\]|\[(-?\d+)\]")


def replay(sandbox, scenario, names):
    """Return the differences in *scenario*; bind its names in *names*."""
    return [
        f"step {number}, {step.get('note') or title(step)}: {difference}"
        for number, step in enumerate(scenario["steps"], 1)
        for difference in _play(sandbox, step, names)
        if not step.get("optional")
    ]


def title(step):
    """Return what a step asks."""
    if "parallel" in step:
        return f"{len(step['parallel'])} at once"
    return "{method} {path}".format_map(step["request"])


def _play(sandbox, step, names):
    return _together(sandbox, step, names) if "parallel" in step else _ask(sandbox, step, names)[1]


def _together(sandbox, step, names):
    """Send the requests of a step at the same moment."""
    parts = step["parallel"]
    barrier, results = threading.Barrier(len(parts)), [None] * len(parts)

    def work(number):
        barrier.wait()
        results[number] = _ask(sandbox, parts[number], dict(names))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [str(status) for status, _ in results]
    counts = step.get("expect", {})
    few = [
        each for each, least in counts.get("at_least", {}).items() if statuses.count(each) < least
    ]
    many = [each for each, most in counts.get("at_most", {}).items() if statuses.count(each) > most]
    found = [difference for _, differences in results for difference in differences]
    return found + [f"not the expected number of {each} in {statuses}" for each in few + many]


def _ask(sandbox, step, names):
    """Send a request, again while its status asks for it; return the status and differences."""
    request = filled(step["request"], names)
    client = getattr(sandbox, step.get("as", "owner"))
    again = step.get("retry", {"status": [], "at_most": 0})
    for attempt in range(again["at_most"] + 1):
        answer = client.ask(
            request["method"],
            request["path"],
            body=_body(request),
            rows=request.get("json"),
            headers=request.get("headers", {}),
        )
        if answer.status not in again["status"]:
            break
        time.sleep(random.uniform(0.5, 1.5) * min(0.02 * 2**attempt, 1))
    choices = step["expect"].get("one_of") or [step["expect"]]
    found = [_compare(choice, step.get("bind", {}), answer, names) for choice in choices]
    return answer.status, [] if [] in found else [line for lines in found for line in lines]


def _compare(expected, bind, answer, names):
    statuses = expected["status"]
    if answer.status not in (statuses if isinstance(statuses, list) else [statuses]):
        return [f"status {answer.status}, not {statuses}: {answer.body[:200]!r}"]
    try:
        for name, source in {**bind, **expected.get("bind", {})}.items():
            names[name] = _part(source, answer)
        wanted = filled(expected, names)
    except (LookupError, TypeError, ValueError) as error:
        return [f"cannot bind or fill in: {error!r} in {answer.body[:200]!r}"]
    return [*_compare_headers(wanted, answer), *_compare_body(wanted, answer)]


def _compare_headers(wanted, answer):
    for name, value in wanted.get("headers", {}).items():
        actual = _header(answer, name)
        if (actual is None) != (value == {"$absent": True}):
            yield f"header {name} is {actual!r}, not {value!r}"
        elif actual is not None:
            yield from unequal(value, actual, name)


def _compare_body(wanted, answer):
    if "json" in wanted:
        try:
            yield from unequal(
                wanted["json"], answer.json, "$", any_order=wanted.get("any_order", False)
            )
        except ValueError:
            yield f"no JSON: {answer.body[:200]!r}"
    if "text" in wanted and answer.text != wanted["text"].strip():
        yield f"text {answer.text!r}, not {wanted['text']!r}"
    fragments = wanted.get("text_contains", [])
    for fragment in [fragments] if isinstance(fragments, str) else fragments:
        if fragment.lower() not in answer.text.lower():
            yield f"{fragment!r} is not in {answer.text[:200]!r}"
    if "body" in wanted and answer.body != generated(wanted["body"]):
        yield f"{len(answer.body)} other bytes than expected"


def unequal(expected, actual, where, *, any_order=False):
    """Say where *actual* is not as expected: of objects only the expected keys count."""
    if isinstance(expected, dict) and any(key.startswith("$") for key in expected):
        yield from _unequal_to_rule(expected, actual, where)
    elif isinstance(expected, dict) and isinstance(actual, dict):
        yield from _unequal_objects(expected, actual, where)
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield f"{where} has {len(actual)} elements, not {len(expected)}: {actual}"
        elif any_order:
            yield from _unequal_sets(expected, actual, where)
        else:
            for at, pair in enumerate(zip(expected, actual, strict=True)):
                yield from unequal(*pair, f"{where}[{at}]")
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        yield f"{where} is {actual!r}, not {expected!r}"


def _unequal_objects(expected, actual, where):
    for key, value in expected.items():
        if (key in actual) == (value == {"$absent": True}):
            yield f"{where}.{key} is {actual.get(key, 'not there')!r}, not {value!r}"
        elif key in actual:
            yield from unequal(value, actual[key], f"{where}.{key}")


def _unequal_sets(expected, actual, where):
    left = list(actual)
    for value in expected:
        match = next((each for each in left if not [*unequal(value, each, where)]), None)
        if match is None:
            yield f"{where}: nothing is like {value!r} in {left!r}"
        else:
            left.remove(match)


def _unequal_to_rule(rule, actual, where):
    """Compare with ``$any``, ``$match``, ``$length``, ``$contains``."""
    if "$match" in rule and not (isinstance(actual, str) and re.search(rule["$match"], actual)):
        yield f"{where}: {actual!r} does not match {rule['$match']!r}"
    if "$length" in rule and not (
        isinstance(actual, list | str) and len(actual) == rule["$length"]
    ):
        yield f"{where} has not {rule['$length']} elements: {actual!r}"
    for value in rule.get("$contains", []):
        if not any(not [*unequal(value, each, where)] for each in actual or []):
            yield f"{where}: nothing is like {value!r} in {actual!r}"


def filled(value, names):
    """Return *value* with its names replaced; a string that is only a name keeps the type."""
    if isinstance(value, dict):
        return {filled(key, names): filled(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, names) for each in value]
    if not isinstance(value, str):
        return value
    whole = NAME.fullmatch(value)
    if whole and not whole[2]:
        return names[whole[1]]
    return NAME.sub(
        lambda match: quote(str(names[match[1]]), safe="") if match[2] else str(names[match[1]]),
        value,
    )


def generated(body):
    """Return the bytes of ``{size, byte | seed, offset, length}``."""
    offset = body.get("offset", 0)
    length = body.get("length", body["size"] - offset)
    if "seed" in body:
        return hashlib.shake_128(body["seed"].encode()).digest(offset + length)[offset:]
    return bytes([body.get("byte", 0)]) * length


def _body(request):
    if "text" in request:
        return request["text"].encode()
    if "body" not in request:
        return None
    content = generated(request["body"])
    return iter([content]) if request["body"].get("no_length") else content


def _header(answer, name):
    value = answer.headers.get(name)
    if value is None:
        return None
    if name.lower() == "content-type":
        return value.partition(";")[0].strip()
    return re.sub(r"^https?://[^/]+", "", value) if name.lower() == "location" else value


def _part(source, answer):
    """Return the part of an answer that *source* names."""
    if isinstance(source, dict):
        return re.search(source["match"], _part(source["from"], answer))[1]
    if source == "text":
        return answer.text
    if source.startswith("header:"):
        value = _header(answer, source.removeprefix("header:"))
        if value is None:
            raise LookupError(source)
        return value
    part = json.loads(answer.body)
    for key, quoted, index in STEP.findall(source[1:]):
        part = part[int(index)] if index else part[key or quoted]
    return part
