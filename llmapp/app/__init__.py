"""The question path: retrieve, assemble, complete, cite. Knows the ports and the guard, no concrete part."""
