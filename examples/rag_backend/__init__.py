"""A RAG back end over one collection: search, streamed answers and a web page."""
