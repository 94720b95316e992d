"""Chroma, in the process and as a server. The only folder that imports chromadb; ids and vectors go in, nothing else."""
