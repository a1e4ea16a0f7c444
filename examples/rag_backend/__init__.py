"""A RAG back end over one collection: search, answers as they are made, and a page."""
