"""Machine types of the clouds as data, and how a job moves to machines and places of another cloud."""
