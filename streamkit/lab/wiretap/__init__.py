"""The wiretap: it stands between any client and any server, and records each answer that passes.

    client ◀──▶ carrier (lab/net) ◀──▶ server        the bytes, untouched
                   │ each read, both ways
                   ▼
                conversation: requests ─▶ who waits; answer, bodies ─▶ Recorder (lab/client) ─▶ Recording
                   │
                   ▼
                shelf (the newest, in bounds) ─▶ teller (a thread): folder (a file each), listeners

All files but `wiretap` and `teller` do no I/O of their own. The door is `wiretap.Wiretap`.
"""
