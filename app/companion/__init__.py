"""The companion API's own parts: layers, errors, paging, conditions, its document, and the fast lane."""
