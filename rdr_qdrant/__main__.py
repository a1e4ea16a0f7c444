"""`python -m rdr_qdrant`."""

from rdr_qdrant.cli import main

if __name__ == "__main__":
    main()
