"""A client's call goes upstream untouched, the answer comes back untouched; nothing here can reach a database.

flow.py         all rules of one exchange: the first file to read
protocol.py     the fast shell (uvicorn's protocol class); asgi.py the plain one
tee.py          the copy that goes to the journal; secrets.py what of the heads may be kept
headers.py      heads: what is refused, what goes on
pool.py         connections to upstreams, with call.py, connection.py, answer_parser.py and dial.py
transport.py    httpx's view of the pool
worker.py       one worker process from its settings to its end; server.py its listener and drain
"""
