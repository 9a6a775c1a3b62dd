"""The database: models by subject, migrations, the store of the processes, queries by subject."""
