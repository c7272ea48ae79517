"""Stage 4: the feed, the API, frames and pages over HTTP."""
