"""How Openitem runs: real servers out of wheels, the demonstration, container files and dashboards."""
