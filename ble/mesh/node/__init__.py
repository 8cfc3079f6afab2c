"""A mesh node as a pure object: provisionee, configuration server, models, and named ways to misbehave."""
