"""What labs are made of: networks of namespaces, processes in them, the director, real servers, clients, a report."""
