"""Prompt templates: files with the fixed words of a prompt, filled strictly and once."""

from llmapp.prompting.templates.library import TemplateLibrary, difference, load_template
from llmapp.prompting.templates.template import PromptTemplate, parse_template, schema_of

__all__ = ["PromptTemplate", "TemplateLibrary", "difference", "load_template", "parse_template", "schema_of"]
