"""The command line: thin verbs over the public ones. Results go to standard output, all else to standard error."""
