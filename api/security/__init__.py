"""Who may do what: keys with scopes, their limits, allowed hosts, headers, and the audit.

`keys` is the file of keys, `gate` the check at the door of every route, `needs` what each route
asks for, `meter` the limits shared by all processes of a machine, `headers` what every answer
carries, `audit` the facts about what operators did.
"""
