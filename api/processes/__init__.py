"""One service as several processes: a supervisor, a recorder that owns the facts, API workers.

``worlds serve --workers N`` starts them (`supervisor`). All workers accept from one listening
socket, so that a worker that dies loses only what it was answering. Whatever needs the fact file
they hand on to the recorder over a private Unix socket (`recorder`); predictions and questions
they answer themselves from the published snapshots, and so they go on without the recorder.
"""
