"""An object store by the S3 API: asked, given buckets and keys, and proved. Python's standard library is enough."""
