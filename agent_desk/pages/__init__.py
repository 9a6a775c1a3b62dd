"""The pages, by subject: they read through `sql.queries` and wish through the controller."""
