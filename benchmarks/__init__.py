"""Measurements that are too long for the tests; each writes its report beside its figures."""
