"""What the tests of every kind share: servers, databases, builders."""
