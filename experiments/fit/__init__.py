"""From a real log to a scenario: read it, fit arrivals and service times, judge the fit by what it simulates."""
