"""A prompt's report for whoever reads it: ``shape`` as JSON, ``waterfall`` as bars, ``page`` as HTML."""
