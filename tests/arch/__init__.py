"""Rules of the code that no linter knows. A failure says where, and what to do instead."""
