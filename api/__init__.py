"""The service: Litestar application, routes, command line."""
