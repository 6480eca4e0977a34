"""Who may do what: users, what they may run and touch, and the record of what was refused.

`selector` is one set of permissions and `user` somebody who has some; `rules` changes a user by the words of ACL
SETUSER; `accounts` has all users, lets clients in and judges their commands; `log` remembers refusals. A client of a
user who may do everything, as the default user may, never comes here: its session lacks the condition
`wire.session.RESTRICTED`.
"""
