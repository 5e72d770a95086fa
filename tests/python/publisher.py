"""Publisher: events of four systems by Confluent's client, serialiser and registry, none of them ours.

Deterministic for a seed. Five in a hundred events are exact copies of an earlier one; some say again under
another id what was said before. Both tenants use the same user ids and the same event ids. What was sent is
written to a file, one JSON object a line, for the reference to work from; every event names itself as
`tenant/event id` in the text that its rule puts into the title.
"""

import argparse
import json
import random
import time

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

DAY = 86_400_000
HOUR = 3_600_000
PEOPLE = ["ada", "bob", "cem", "dan", "eve", "fay", "gus", "hal", "ida", "leo", "ned", "pat", "quy", "sue", "tim", "vic", "una", "nobody", "nora@northwind"]
ROLES = ["field-service", "approver", "manager", "legal", "qa", "order-desk", "pilot"]
PLACES = ["Pier 4", "Pier 7", "Altona", "Hamburg", "Germany", "Depot", "Tower", "Yard", "Atlantis", "hamburg"]
UNITS = ["Operations", "Operations/Harbour", "IT/Integration", "Service", "Sales", "Nowhere"]
PARTIES = ["northwind", "contoso", "acme-ltd"]


class Day:
    """Makes the events, one after the other."""

    def __init__(self, seed, now, again):
        self.dice = random.Random(seed)
        self.again = again
        self.now = now
        self.number = 0
        self.said = []  # workflow steps that may be said again under another id

    def some(self, names, least=0, most=3):
        return self.dice.sample(names, self.dice.randint(least, min(most, len(names))))

    def rarely(self, share):
        return self.dice.random() < share

    def event(self, source, kind, record, data, entity="thing", **more):
        self.number += 1
        number = self.number
        tenant = self.dice.choice(["acme", "acme", "globex"])
        event_id = f"{source}-{number:06}"
        event = {
            "event_id": event_id, "source": source, "tenant": tenant, "kind": f"{source}.{kind}", "schema": 1,
            "occurred_at": self.now + number,
            "entity": {"type": entity, "id": str(number), "version": "1", "name": f"{entity} {tenant}/{event_id}",
                       "url": f"https://ecm.example/{entity}/{number}"},
            "severity": self.dice.choice(["info", "low", "medium", "high", "critical"]),
            "data": {"record": f"com.opentext.bugle.{source}.{record}", "fields": data},
        }
        event.update(more)
        return event

    def name(self, event):
        return f"{event['tenant']}/{event['event_id']}"

    def segment(self):
        audience = {"users": [], "groups": [], "roles": [], "locations": [], "business_units": [], "exclude": []}
        for field, names in (("roles", ROLES), ("locations", PLACES), ("business_units", UNITS)):
            if self.rarely(0.5):
                audience[field] = self.some(names, 1, 2)
        if self.rarely(0.1):
            audience["groups"] = self.some(ROLES, 1, 1)
        if self.rarely(0.2):
            audience["users"] = self.some(PEOPLE, 1, 2)
        if self.rarely(0.1):
            audience["external_party"] = self.dice.choice(PARTIES)
        if self.rarely(0.2):
            audience["exclude"] = self.some(PEOPLE, 1, 3)
        return audience

    # --- xConnector ---

    def flow(self):
        return {"flow_id": "order-intake", "execution_id": f"run-{self.number + 1}"}

    def workflow(self):  # XC-1, and XC-7 where it carries a segment
        kind = self.dice.choice(["milestone", "exception", "approval_pending", "task_assigned", "case_escalated"])
        data = {"step": self.dice.choice(["Credit check", "Pick", "Ship"]), "assignees": self.some(PEOPLE)}
        event = self.event("xconnector", f"workflow.{kind}", "Workflow", data, "workflow", **self.flow())
        if self.rarely(0.3):
            event["audience"] = self.segment()
        if self.said and self.rarely(self.again):
            # The same step of the same run, told again under another id and to others.
            before = self.dice.choice(self.said)
            event.update({key: before[key] for key in ("tenant", "kind", "entity", "execution_id", "flow_id")})
            event["data"]["fields"]["step"] = before["data"]["fields"]["step"]
            event.pop("audience", None)
        else:
            self.said.append(event)
        event["flow_name"] = f"Flow {self.name(event)}"
        return event

    def news(self):  # XC-7 alone
        data = {"transaction_id": None, "missing_fields": []}
        event = self.event("xconnector", "integration.recovered", "IntegrationFault", data, "integration", **self.flow())
        event["audience"] = self.segment()
        return event

    # --- Extended ECM ---

    def node(self, event):
        event["node"] = {"id": event["entity"]["id"], "name": f"Node {self.name(event)}", "version": "1"}
        return event

    def task(self, source, kind="task.assigned"):
        number = self.number + 1
        data = {"process_id": f"p{number}", "subprocess_id": "1", "task_id": f"t{number}", "task_name": "Review",
                "assignees": [{"user_id": user} for user in self.some(PEOPLE)], "initiator": self.dice.choice(PEOPLE)}
        event = self.event(source, kind, "Task", data, "task")
        data["task_name"] = f"Review {self.name(event)}"
        if self.rarely(0.7):
            past = self.rarely(0.1)
            event["due_at"] = event["occurred_at"] + (-2 * HOUR if past else 30 * DAY)
        if self.rarely(0.4):
            event["action"] = {"ref": f"wf-{number}", "options": self.some(["approve", "reject", "acknowledge"])}
        return event

    def review(self):  # EC-1, and EC-7 where it can be answered
        kind = self.dice.choice(["task.assigned", "task.assigned", "task.reassigned"])
        return self.node(self.task("xecm", kind))

    def stage(self):  # EC-1
        data = {"stage_from": "draft", "stage_to": self.dice.choice(["review", "approval"]), "reviewers": self.some(PEOPLE),
                "owner": self.dice.choice(PEOPLE)}
        return self.node(self.event("xecm", "document.stage_changed", "DocumentStage", data, "document"))

    def available(self):  # EC-4
        data = {"doc_kind": self.dice.choice(["job", "safety", "incident", "instruction", "other"]), "site": self.dice.choice(PLACES)}
        event = self.node(self.event("xecm", "document.available", "DocumentAvailable", data, "document"))
        if self.rarely(0.05):
            event["occurred_at"] -= 2 * DAY
        return event

    def published(self):  # EC-5
        data = {"external_party": self.dice.choice(PARTIES), "doc_kind": "price list"}
        return self.node(self.event("xecm", "document.published", "DocumentPublished", data, "document"))

    # --- Business Workspaces ---

    def workspace(self, event):
        event["workspace"] = {"id": str(self.number % 50), "name": f"Workspace {self.name(event)}"}
        return event

    def approval(self):  # BW-2
        return self.workspace(self.task("bws"))

    def critical(self):  # BW-8
        data = {"class": self.dice.choice(["signed_agreement", "incident_report", "regulatory_notice", "other"])}
        event = self.workspace(self.event("bws", "content.critical_added", "CriticalContent", data, "document"))
        event["item"] = {"node_id": event["entity"]["id"], "name": f"Item {self.name(event)}"}
        return event

    # --- Developer Admin ---

    def app(self):
        return {"organization_id": "o1", "tenant_id": "t1", "app_id": "orders"}

    def artifact(self):  # DA-1
        environment = self.dice.choice(["prod", "prod", "dev", "test", "other"])
        data = {"artifact": {"type": "api", "id": "orders-api", "version": "2", "name": None}, "change": "deployed"}
        event = self.event("devadmin", "artifact.changed", "ArtifactChanged", data, "api", environment=environment, **self.app())
        data["artifact"]["name"] = f"API {self.name(event)}"
        if self.rarely(0.05):
            event["expires_at"] = event["occurred_at"] - DAY
        return event

    def business(self):  # DA-4
        data = {"topic": "order", "document_id": None, "state": self.dice.choice(["placed", "shipped"]),
                "partner": self.dice.choice(PARTIES + [None])}
        event = self.event("devadmin", "business.event", "BusinessEvent", data, "order", environment="prod", **self.app())
        data["document_id"] = self.name(event)
        return event

    # --- what tells nobody at once ---

    def quiet(self):
        source, kind = self.dice.choice([("xecm", "task.completed"), ("xecm", "record.renewed"), ("bws", "deadline.set"),
                                         ("bws", "completeness.missing"), ("devadmin", "queue.recovered"), ("devadmin", "flow.recovered")])
        day = int(self.now // DAY) + 700
        if kind == "task.completed":
            return self.node(self.task(source, kind))
        if kind == "record.renewed":
            data = {"expiry_kind": "contract", "expires_on": day, "owner": "ada"}
            return self.node(self.event(source, kind, "RecordExpiry", data, "record"))
        if kind == "deadline.set":
            data = {"milestone": "Handover", "due_on": day, "responsible": ["ada"]}
            return self.workspace(self.event(source, kind, "Deadline", data, "workspace"))
        if kind == "completeness.missing":
            data = {"missing_metadata": ["cost centre"], "missing_documents": [], "steward": "ada"}
            return self.workspace(self.event(source, kind, "Completeness", data, "workspace"))
        if kind == "queue.recovered":
            data = {"queue": "outbound", "depth": 3, "threshold": 500}
            return self.event(source, kind, "QueueState", data, "queue", environment="prod", **self.app())
        data = {"flow_id": "f1"}
        return self.event(source, kind, "FlowFault", data, "flow", environment="prod", **self.app())

    def events(self, count, copies):
        makers = [self.workflow, self.workflow, self.news, self.review, self.stage, self.available, self.published,
                  self.approval, self.critical, self.artifact, self.business, self.quiet]
        events = []
        for place in range(count):
            if events and self.rarely(copies):
                # Half of them right behind the original, half of them long after.
                back = self.dice.randint(1, 5) if self.rarely(0.5) else self.dice.randint(1, len(events))
                events.append(events[-min(back, len(events))])
            elif place % 50 == 49:
                # The other tenant happens to use an id that is taken.
                event = self.artifact()
                other = dict(event, tenant="globex" if event["tenant"] == "acme" else "acme")
                fields = json.loads(json.dumps(event["data"]["fields"]))
                fields["artifact"]["name"] = f"API {self.name(other)}"
                events.extend([event, dict(other, data=dict(event["data"], fields=fields))])
            else:
                events.append(self.dice.choice(makers)())
        return events[:count]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--prefix", required=True, help="what the names of the source topics begin with")
    parser.add_argument("--out", required=True)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--copies", type=float, default=0.05)
    parser.add_argument("--again", type=float, default=0.05, help="the share of workflow steps said before, under another id")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()

    # A Confluent registry and those that speak its language alike.
    registry = SchemaRegistryClient({"url": asked.registry})
    settings = {"auto.register.schemas": False, "use.latest.version": True}
    write = AvroSerializer(registry, conf=settings)
    producer = Producer({"bootstrap.servers": asked.brokers, "enable.idempotence": True, "linger.ms": 20})
    faults = []

    def reported(error, _):
        if error is not None:
            faults.append(str(error))

    with open(asked.out, "w", encoding="utf-8") as out:
        for event in Day(asked.seed, int(time.time() * 1000), asked.again).events(asked.events, asked.copies):
            topic = f"{asked.prefix}{event['source']}.events"
            key = "|".join([event["tenant"], event["source"], event["entity"]["type"], event["entity"]["id"]])
            data = event["data"]
            value = write(dict(event, data=(data["record"], data["fields"])), SerializationContext(topic, MessageField.VALUE))
            producer.produce(topic, key=key, value=value, on_delivery=reported)
            producer.poll(0)
            out.write(json.dumps(event) + "\n")
    producer.flush()
    if faults:
        raise SystemExit(f"{len(faults)} events were not taken: {faults[0]}")


main()
