"""Having devices do things: durable commands, delivered in order, answered or visibly expired."""
