//! A `.proto` file as the JVM's client prints it (Wire's `ProtoFileElement`, as Confluent lays it
//! out): plain fields, then `oneof`s, then nested messages, then nested enums.

use std::fmt::Write as _;

use crate::syntax::{Enum, Field, File, Label, Message};

/// The text of a proto3 file.
pub(crate) fn print(file: &File) -> String {
    let mut text = "syntax = \"proto3\";\n".to_owned();
    if !file.package.is_empty() {
        line(&mut text, 0, &format!("package {};", file.package));
    }
    if !file.imports.is_empty() {
        text.push('\n');
        for import in &file.imports {
            line(&mut text, 0, &format!("import \"{import}\";"));
        }
    }
    if !file.messages.is_empty() || !file.enums.is_empty() {
        text.push('\n');
    }
    for message in &file.messages {
        print_message(message, 0, &mut text);
    }
    for list in &file.enums {
        print_enum(list, 0, &mut text);
    }
    text
}

fn line(text: &mut String, depth: usize, content: &str) {
    text.extend(std::iter::repeat_n("  ", depth));
    text.push_str(content);
    text.push('\n');
}

fn print_message(message: &Message, depth: usize, text: &mut String) {
    line(text, depth, &format!("message {} {{", message.name));
    let inside = depth + 1;
    // An empty line stands between the groups, indented like the message itself.
    let mut begun = false;
    let mut group = |text: &mut String| {
        if begun {
            line(text, depth, "");
        }
        begun = true;
    };
    if message.fields.iter().any(|field| field.oneof.is_none()) {
        group(text);
        for field in message.fields.iter().filter(|field| field.oneof.is_none()) {
            print_field(field, inside, text);
        }
    }
    if !message.oneofs.is_empty() {
        group(text);
    }
    for (place, oneof) in message.oneofs.iter().enumerate() {
        line(text, inside, &format!("oneof {oneof} {{"));
        for field in message
            .fields
            .iter()
            .filter(|field| field.oneof == Some(place))
        {
            print_field(field, inside + 1, text);
        }
        line(text, inside, "}");
    }
    if !message.messages.is_empty() || !message.enums.is_empty() {
        group(text);
    }
    for nested in &message.messages {
        print_message(nested, inside, text);
    }
    for nested in &message.enums {
        print_enum(nested, inside, text);
    }
    line(text, depth, "}");
}

fn print_field(field: &Field, depth: usize, text: &mut String) {
    let label = match field.label {
        Label::None => "",
        Label::Optional => "optional ",
        Label::Required => "required ",
        Label::Repeated => "repeated ",
    };
    let mut content = String::new();
    // Writing to a String cannot fail.
    let _written = write!(
        content,
        "{label}{} {} = {}",
        field.type_name, field.name, field.number
    );
    if field.params.is_empty() {
        content.push(';');
        line(text, depth, &content);
        return;
    }
    content.push_str(" [(confluent.field_meta) = {");
    line(text, depth, &content);
    line(text, depth + 1, "params: [");
    for (place, (key, value)) in field.params.iter().enumerate() {
        line(text, depth + 2, "{");
        let (key_text, value_text) = (format!("key: \"{key}\""), format!("value: \"{value}\""));
        // The order in which the JVM's map of the two iterates: that of a type stands in another
        // map than that of a Decimal.
        let (first, second) = match key.as_str() {
            "connect.type" => (key_text, value_text),
            _ => (value_text, key_text),
        };
        line(text, depth + 3, &format!("{first},"));
        line(text, depth + 3, &second);
        let comma = if place + 1 < field.params.len() {
            ","
        } else {
            ""
        };
        line(text, depth + 2, &format!("}}{comma}"));
    }
    line(text, depth + 1, "]");
    line(text, depth, "}];");
}

fn print_enum(list: &Enum, depth: usize, text: &mut String) {
    line(text, depth, &format!("enum {} {{", list.name));
    for (name, number) in &list.values {
        line(text, depth + 1, &format!("{name} = {number};"));
    }
    line(text, depth, "}");
}
