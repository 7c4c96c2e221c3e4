"""The bulk spec: parsed, checked and matched against paths.

Where a spec comes from belongs in `edges/server/spec_source`.
"""
