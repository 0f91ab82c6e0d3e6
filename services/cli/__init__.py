"""The `openitem` program: what an operator does from a terminal. It owns no rule."""
