"""Reference: who must hear of what, worked out from the rules' words alone.

It reads the file of people and what the publisher says it sent, and prints `tenant/event id` and user id, one
pair a line. It is slow and simple on purpose, shares nothing with Bugle, and knows nine use cases; whatever
else was sent must reach nobody.
"""

import argparse
import csv
import json
import sys
import time

HOUR = 3_600_000


def many(cell):
    return [part.strip() for part in cell.split(";") if part.strip()]


class Directory:
    """The people of one tenant."""

    def __init__(self, rows):
        self.people = {row["user_id"]: row for row in rows}

    def active(self, user):
        return user in self.people and self.people[user]["active"] == "true"

    def staff(self, user):
        return self.active(user) and not self.people[user]["party"]

    def role(self, *names):
        return {user for user, row in self.people.items() if set(many(row["roles"])) & set(names)}

    def under(self, levels, name):
        """A name is one level, or several that follow one another from the top down."""
        wanted = name.split("/")
        return any(levels[at:at + len(wanted)] == wanted for at in range(len(levels)))

    def location(self, *names):
        def levels(row):
            return [row[level] for level in ("country", "region", "locality", "site") if row[level]]
        return {user for user, row in self.people.items() if any(self.under(levels(row), name) for name in names)}

    def unit(self, *names):
        def levels(row):
            return [level for level in row["business_unit"].split("/") if level]
        return {user for user, row in self.people.items() if any(self.under(levels(row), name) for name in names)}

    def party(self, name):
        return {user for user, row in self.people.items() if name and row["party"] == name}

    def tell(self, chosen, invited=frozenset(), fallback=None, never=frozenset(), channels=None):
        """The people told: the expression, else the fallback, then deputies, then all that takes away.

        Externals are told only where the expression names them or their party, and through an approved channel.
        """
        def inside(users, invited):
            return {user for user in users if self.staff(user) or (self.active(user) and user in invited)}

        told = inside(chosen, invited)
        if not told and fallback is not None:
            invited = frozenset()
            told = inside(fallback, invited)
        for user in sorted(told):
            row = self.people[user]
            if row["absent"] == "true":
                deputies = {deputy for deputy in many(row["deputies"])
                            if inside({deputy}, invited) and self.people[deputy]["absent"] != "true"}
                if deputies:
                    told = (told - {user}) | deputies
        told -= set(never)

        def reachable(user):
            approved = many(self.people[user]["channels"])
            return not self.people[user]["party"] or (bool(approved) and (channels is None or bool(set(approved) & set(channels))))
        return {user for user in told if reachable(user)}


def addressed(directory, event):
    """The event's own audience: fields narrow each other, users and the party add, exclude takes away."""
    audience = event.get("audience")
    if not audience:
        return set(), set(), set()
    sets = []
    if audience["groups"]:
        sets.append(directory.role(*audience["groups"]))
    if audience["roles"]:
        sets.append(directory.role(*audience["roles"]))
    if audience["locations"]:
        sets.append(directory.location(*audience["locations"]))
    if audience["business_units"]:
        sets.append(directory.unit(*audience["business_units"]))
    named = set(audience["users"]) | directory.party(audience.get("external_party"))
    # An external is among those of a role only where the event names them, too.
    chosen = (set.intersection(*sets) if sets else set()) | named
    excluded = set(audience["exclude"])
    return chosen - excluded, named, excluded


def assignees(event, field="assignees"):
    named = event["data"]["fields"].get(field, [])
    return {item["user_id"] if isinstance(item, dict) else item for item in named}


class Heard:
    """What was heard before, for as long as any test runs."""

    def __init__(self):
        self.keys = set()

    def before(self, *key):
        known = key in self.keys
        self.keys.add(key)
        return known


def gathered(event):
    """Whether an event is only told with others, when its window closes: XC-7, EC-4, EC-5, DA-1 and DA-4."""
    kind, data = event["kind"], event["data"]["fields"]
    return (
        kind in ("xconnector.integration.recovered", "xecm.document.published", "devadmin.business.event")
        or kind == "xecm.document.available" and data["doc_kind"] not in ("safety", "incident")
        or kind == "devadmin.artifact.changed" and event["environment"] != "prod"
    )


def told(directory, event, heard, now):
    """The people who must hear of one event at once."""
    tenant, kind, data = event["tenant"], event["kind"], event["data"]["fields"]
    ends = event.get("expires_at")
    people = set()

    def late(*ends):
        return any(end is not None and end <= now for end in ends)

    if kind.startswith("xconnector."):
        chosen, named, excluded = addressed(directory, event)
        if kind.startswith("xconnector.workflow."):  # XC-1
            if not heard.before("XC-1", tenant, event["execution_id"], data["step"], kind) and not late(ends):
                users = assignees(event)
                people |= directory.tell(users | chosen, users | named, directory.role("manager"), excluded)
    elif kind in ("xecm.task.assigned", "xecm.task.reassigned"):
        users = assignees(event)
        if not late(ends):  # EC-1
            people |= directory.tell(users, users, directory.role("approver"))
        due = event.get("due_at")
        urgent = event.get("severity") in ("high", "critical")
        if urgent and due is not None and due <= now and not late(ends):  # EC-3
            # Overdue for less than four hours: nobody but the assignees is asked yet. A step that finds nobody
            # hands over to the next one at once.
            known = [directory.people[user] for user in users if user in directory.people]
            managers = {row["manager"] for row in known if row["manager"]}
            backups = {deputy for row in known for deputy in many(row["deputies"])}
            for asked in (users, managers, backups):
                step = directory.tell(asked & set(directory.people), asked, None, {data["initiator"]})
                people |= step
                if step:
                    break
        if event.get("action") and not late(ends, due):  # EC-7
            people |= directory.tell(users, users, None, {data["initiator"]})
    elif kind == "xecm.document.stage_changed":  # EC-1
        users = assignees(event, "reviewers")
        owner = {data["owner"]}
        people |= directory.tell(users, users) or directory.tell(owner, owner)
    elif kind == "xecm.document.available" and data["doc_kind"] in ("safety", "incident"):  # EC-4
        if not late(ends, event["occurred_at"] + 12 * HOUR):
            people |= directory.tell(directory.role("field-service") & directory.location(data["site"]))
    elif kind == "bws.task.assigned":  # BW-2; nobody is a member of any workspace
        users = assignees(event)
        if not late(ends, event.get("due_at")):
            people |= directory.tell(users, users, set(), {data["initiator"]})
    elif kind == "bws.content.critical_added":  # BW-8
        content = data["class"]
        if content == "signed_agreement":
            people |= directory.tell(directory.role("legal", "procurement"), fallback=directory.role("executive"))
        elif content == "incident_report":
            people |= directory.tell(directory.role("compliance", "executive"), fallback=directory.role("legal"))
        else:
            people |= directory.tell(directory.role("legal", "compliance", "executive"))
    elif kind == "devadmin.artifact.changed":  # DA-1
        roles = ["integration-lead", "qa", "release-manager"]
        if event["environment"] == "prod" and not late(ends):
            people |= directory.tell(directory.role(*roles))
    return people


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", required=True)
    parser.add_argument("--sent", required=True)
    asked = parser.parse_args()
    with open(asked.people, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tenants = {row["tenant"] for row in rows}
    directories = {tenant: Directory([row for row in rows if row["tenant"] == tenant]) for tenant in tenants}
    heard, now = Heard(), int(time.time() * 1000)
    with open(asked.sent, encoding="utf-8") as file:
        for line in file:
            event = json.loads(line)
            if heard.before(event["tenant"], event["source"], event["event_id"]):
                continue
            if gathered(event):
                sys.stdout.write(f"{event['tenant']}/{event['event_id']}\t*\n")
            for user in sorted(told(directories[event["tenant"]], event, heard, now)):
                sys.stdout.write(f"{event['tenant']}/{event['event_id']}\t{user}\n")


main()
