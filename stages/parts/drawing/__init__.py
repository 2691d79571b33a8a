"""Pictures for people: contact sheets, charts, tables, the page."""
