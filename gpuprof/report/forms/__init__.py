"""A story in a form: page, PDF, Markdown, terminal, or a JSON document. Pure."""
