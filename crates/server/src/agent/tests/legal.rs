//! The rules of npm `@ag-ui/client` 1.0.0 (its chunks made whole, then `verifyEvents`), written down once more and simpler:
//! nothing starts twice, goes on unstarted, is open at the end, or changes its subagent; nothing is null.

use std::collections::BTreeMap;

use serde_json::Value;

/// A family of events and an id.
type Entity = (String, String);

#[derive(Default)]
struct Verifier {
    open: Vec<Entity>,
    ended: Vec<Entity>,
    /// Whose each thing is; null is the agent itself.
    owners: BTreeMap<Entity, Value>,
    /// What each subagent has open in chunks.
    lanes: BTreeMap<String, Entity>,
}

pub(super) fn assert_legal(events: &[Value]) {
    let mut verifier = Verifier::default();
    for event in events {
        assert!(!event.to_string().contains(":null"), "{event}");
        if let Err(why) = verifier.take(event) {
            panic!("{why}: {event} of {events:?}");
        }
    }
}

impl Verifier {
    fn take(&mut self, event: &Value) -> Result<(), &'static str> {
        let kind = event["type"].as_str().unwrap();
        let (family, step) = kind.rsplit_once('_').unwrap_or((kind, ""));
        let whose = &event["subagentRunId"];
        match (kind, step) {
            (_, "CHUNK") => return self.chunk(family, event),
            ("RUN_FINISHED" | "RUN_ERROR" | "MESSAGES_SNAPSHOT", _) => {
                let lanes: Vec<String> = self.lanes.keys().cloned().collect();
                lanes.iter().for_each(|lane| self.close(lane));
            }
            ("ACTIVITY_SNAPSHOT" | "ACTIVITY_DELTA" | "REASONING_ENCRYPTED_VALUE" | "SUBAGENT_STARTED", _) => {}
            _ => self.close(&whose.to_string()),
        }
        let entity = entity(family, event);
        match (kind, step) {
            ("RUN_FINISHED", _) if !self.open.is_empty() => Err("open at the end"),
            ("MESSAGES_SNAPSHOT", _) => {
                for message in event["messages"].as_array().unwrap() {
                    let owner = message["subagentRunId"].clone();
                    for call in message["toolCalls"].as_array().unwrap() {
                        self.owners.insert(("TOOL_CALL".to_owned(), call["id"].to_string()), owner.clone());
                    }
                    self.owners.insert(("TEXT_MESSAGE".to_owned(), message["id"].to_string()), owner);
                }
                Ok(())
            }
            ("TOOL_CALL_RESULT", _) => {
                let message = ("TEXT_MESSAGE".to_owned(), event["messageId"].to_string());
                self.owners.insert(message, whose.clone());
                Ok(())
            }
            ("ACTIVITY_SNAPSHOT", _) => {
                if event["replace"] != false || !self.owners.contains_key(&entity) {
                    self.owners.insert(entity, whose.clone());
                }
                Ok(())
            }
            ("ACTIVITY_DELTA", _) => self.agrees(&entity, whose),
            ("REASONING_ENCRYPTED_VALUE", _) => {
                let family = if event["subtype"] == "tool-call" { "TOOL_CALL" } else { "TEXT_MESSAGE" };
                let owned = [family, "REASONING"].map(|family| (family.to_owned(), event["entityId"].to_string()));
                let [first, second] = &owned;
                let is_first = family == "TOOL_CALL" || self.owners.contains_key(first);
                self.agrees(if is_first { first } else { second }, whose)
            }
            (_, "START" | "STARTED") => self.start(entity, event),
            (_, "CONTENT" | "ARGS") if !self.open.contains(&entity) => Err("goes on without start"),
            (_, "CONTENT" | "ARGS") => self.agrees(&owned(&entity), whose),
            (_, "END" | "FINISHED") if family != "RUN" => {
                if !self.open.contains(&entity) {
                    return Err("ends without start");
                }
                self.open.retain(|other| *other != entity);
                self.ended.push(entity.clone());
                self.agrees(&owned(&entity), whose)
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, entity: Entity, event: &Value) -> Result<(), &'static str> {
        if self.open.contains(&entity) || entity.0 == "SUBAGENT" && self.ended.contains(&entity) {
            return Err("starts twice");
        }
        if entity.0 == "SUBAGENT" && !event["parentSubagentRunId"].is_null() {
            let parent = ("SUBAGENT".to_owned(), event["parentSubagentRunId"].to_string());
            if !self.open.contains(&parent) && !self.ended.contains(&parent) {
                return Err("has a parent that never began");
            }
        }
        let whose = &event["subagentRunId"];
        self.agrees(&owned(&entity), whose)?;
        let message = ("TEXT_MESSAGE".to_owned(), event["parentMessageId"].to_string());
        let inherited = self.owners.get(&message).filter(|_| entity.0 == "TOOL_CALL").cloned();
        if let Some(inherited) = &inherited {
            self.agrees(&message, whose)?;
            if self.owners.get(&entity).is_some_and(|owner| owner != inherited) {
                return Err("is not its message's owner's");
            }
        }
        self.owners.entry(owned(&entity)).or_insert_with(|| inherited.unwrap_or(whose.clone()));
        self.open.push(entity);
        Ok(())
    }

    fn chunk(&mut self, family: &str, event: &Value) -> Result<(), &'static str> {
        let (entity, whose) = (entity(family, event), event["subagentRunId"].to_string());
        if entity.1 == "null" {
            return Err("does not say what it goes on with");
        }
        match self.lanes.iter().find(|(_, open)| **open == entity) {
            Some((lane, _)) if whose != "null" && *lane != whose => Err("goes on for another subagent"),
            Some(_) => Ok(()),
            None => {
                self.close(&whose);
                self.start(entity.clone(), event)?;
                self.lanes.insert(whose, entity);
                Ok(())
            }
        }
    }

    fn close(&mut self, lane: &str) {
        if let Some(entity) = self.lanes.remove(lane) {
            self.open.retain(|other| *other != entity);
        }
    }

    fn agrees(&self, entity: &Entity, whose: &Value) -> Result<(), &'static str> {
        let is_anothers = self.owners.get(entity).is_some_and(|owner| owner != whose);
        // Who says nothing agrees with everybody; steps and subagents have nobody to disagree with.
        match is_anothers && !whose.is_null() && !matches!(entity.0.as_str(), "STEP" | "SUBAGENT") {
            true => Err("is another subagent's"),
            false => Ok(()),
        }
    }
}

fn entity(family: &str, event: &Value) -> Entity {
    let id = match family {
        "TOOL_CALL" => event["toolCallId"].to_string(),
        "SUBAGENT" => event["subagentRunId"].to_string(),
        // Steps of different subagents may have the same name.
        "STEP" => format!("{} {}", event["stepName"], event["subagentRunId"]),
        _ => event["messageId"].to_string(),
    };
    (family.to_owned(), id)
}

/// Under which name an owner is kept: a span of reasoning and the message inside of it have one.
fn owned((family, id): &Entity) -> Entity {
    (family.strip_suffix("_MESSAGE").filter(|it| *it == "REASONING").unwrap_or(family).to_owned(), id.clone())
}
