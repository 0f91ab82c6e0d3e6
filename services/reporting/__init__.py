"""Answers questions from the read models; writes nothing. JSON and CSV over HTTP."""
