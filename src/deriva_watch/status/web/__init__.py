"""The status page's server: HTTP, event stream, metrics."""
