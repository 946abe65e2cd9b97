"""The mind: proposes points and judges trials. Pure: no processes, files or clock."""
