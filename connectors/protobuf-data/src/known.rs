//! The files that every schema may import without a reference: names, fields and numbers of
//! Google's well-known and common types and of the registry's own.

/// The text under which a wrapper message is registered as the root, as the JVM's client prints it.
pub(crate) const WRAPPERS_TEXT: &str = "syntax = \"proto3\";
package google.protobuf;

option java_package = \"com.google.protobuf\";
option java_outer_classname = \"WrappersProto\";
option java_multiple_files = true;
option go_package = \"google.golang.org/protobuf/types/known/wrapperspb\";
option cc_enable_arenas = true;
option objc_class_prefix = \"GPB\";
option csharp_namespace = \"Google.Protobuf.WellKnownTypes\";

message DoubleValue {
  double value = 1 [json_name = \"value\"];
}
message FloatValue {
  float value = 1 [json_name = \"value\"];
}
message Int64Value {
  int64 value = 1 [json_name = \"value\"];
}
message UInt64Value {
  uint64 value = 1 [json_name = \"value\"];
}
message Int32Value {
  int32 value = 1 [json_name = \"value\"];
}
message UInt32Value {
  uint32 value = 1 [json_name = \"value\"];
}
message BoolValue {
  bool value = 1 [json_name = \"value\"];
}
message StringValue {
  string value = 1 [json_name = \"value\"];
}
message BytesValue {
  bytes value = 1 [json_name = \"value\"];
}
";

pub(crate) const WRAPPERS: &str = "google/protobuf/wrappers.proto";
pub(crate) const TIMESTAMP: &str = "google/protobuf/timestamp.proto";
pub(crate) const DATE: &str = "google/type/date.proto";
pub(crate) const TIME_OF_DAY: &str = "google/type/timeofday.proto";
pub(crate) const DECIMAL: &str = "confluent/type/decimal.proto";

/// Path, package and messages; all are proto3.
const FILES: &[(&str, &str, &str)] = &[
    (
        TIMESTAMP,
        "google.protobuf",
        "message Timestamp { int64 seconds = 1; int32 nanos = 2; }",
    ),
    (
        "google/protobuf/duration.proto",
        "google.protobuf",
        "message Duration { int64 seconds = 1; int32 nanos = 2; }",
    ),
    (
        "google/protobuf/any.proto",
        "google.protobuf",
        "message Any { string type_url = 1; bytes value = 2; }",
    ),
    (
        "google/protobuf/empty.proto",
        "google.protobuf",
        "message Empty {}",
    ),
    (
        "google/protobuf/field_mask.proto",
        "google.protobuf",
        "message FieldMask { repeated string paths = 1; }",
    ),
    (
        "google/protobuf/source_context.proto",
        "google.protobuf",
        "message SourceContext { string file_name = 1; }",
    ),
    (
        "google/protobuf/struct.proto",
        "google.protobuf",
        "message Struct { map<string, Value> fields = 1; } \
      message Value { oneof kind { NullValue null_value = 1; double number_value = 2; string string_value = 3; \
      bool bool_value = 4; Struct struct_value = 5; ListValue list_value = 6; } } \
      message ListValue { repeated Value values = 1; } enum NullValue { NULL_VALUE = 0; }",
    ),
    // Only for options, which are no data.
    (
        "google/protobuf/descriptor.proto",
        "google.protobuf",
        "message FileOptions {} message MessageOptions {} message FieldOptions {} message OneofOptions {} \
      message EnumOptions {} message EnumValueOptions {} message ServiceOptions {} message MethodOptions {}",
    ),
    ("google/protobuf/java_features.proto", "pb", ""),
    (
        DATE,
        "google.type",
        "message Date { int32 year = 1; int32 month = 2; int32 day = 3; }",
    ),
    (
        TIME_OF_DAY,
        "google.type",
        "message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }",
    ),
    (
        "google/type/color.proto",
        "google.type",
        "import \"google/protobuf/wrappers.proto\"; message Color { float red = 1; float green = 2; float blue = 3; google.protobuf.FloatValue alpha = 4; }",
    ),
    (
        "google/type/datetime.proto",
        "google.type",
        "import \"google/protobuf/duration.proto\"; message DateTime { int32 year = 1; int32 month = 2; int32 day = 3; int32 hours = 4; \
      int32 minutes = 5; int32 seconds = 6; int32 nanos = 7; oneof time_offset { google.protobuf.Duration utc_offset = 8; TimeZone time_zone = 9; } } \
      message TimeZone { string id = 1; string version = 2; }",
    ),
    (
        "google/type/decimal.proto",
        "google.type",
        "message Decimal { string value = 1; }",
    ),
    (
        "google/type/expr.proto",
        "google.type",
        "message Expr { string expression = 1; string title = 2; string description = 3; string location = 4; }",
    ),
    (
        "google/type/fraction.proto",
        "google.type",
        "message Fraction { int64 numerator = 1; int64 denominator = 2; }",
    ),
    (
        "google/type/interval.proto",
        "google.type",
        "import \"google/protobuf/timestamp.proto\"; message Interval { google.protobuf.Timestamp start_time = 1; google.protobuf.Timestamp end_time = 2; }",
    ),
    (
        "google/type/latlng.proto",
        "google.type",
        "message LatLng { double latitude = 1; double longitude = 2; }",
    ),
    (
        "google/type/money.proto",
        "google.type",
        "message Money { string currency_code = 1; int64 units = 2; int32 nanos = 3; }",
    ),
    (
        "google/type/month.proto",
        "google.type",
        "enum Month { MONTH_UNSPECIFIED = 0; JANUARY = 1; FEBRUARY = 2; MARCH = 3; APRIL = 4; MAY = 5; JUNE = 6; JULY = 7; \
      AUGUST = 8; SEPTEMBER = 9; OCTOBER = 10; NOVEMBER = 11; DECEMBER = 12; }",
    ),
    (
        "google/type/dayofweek.proto",
        "google.type",
        "enum DayOfWeek { DAY_OF_WEEK_UNSPECIFIED = 0; MONDAY = 1; TUESDAY = 2; WEDNESDAY = 3; THURSDAY = 4; FRIDAY = 5; SATURDAY = 6; SUNDAY = 7; }",
    ),
    (
        "google/type/calendar_period.proto",
        "google.type",
        "enum CalendarPeriod { CALENDAR_PERIOD_UNSPECIFIED = 0; DAY = 1; WEEK = 2; FORTNIGHT = 3; MONTH = 4; QUARTER = 5; HALF = 6; YEAR = 7; }",
    ),
    (
        "google/type/phone_number.proto",
        "google.type",
        "message PhoneNumber { oneof kind { string e164_number = 1; ShortCode short_code = 2; } string extension = 3; \
      message ShortCode { string region_code = 1; string number = 2; } }",
    ),
    (
        "google/type/postal_address.proto",
        "google.type",
        "message PostalAddress { int32 revision = 1; string region_code = 2; string language_code = 3; string postal_code = 4; string sorting_code = 5; \
      string administrative_area = 6; string locality = 7; string sublocality = 8; repeated string address_lines = 9; repeated string recipients = 10; string organization = 11; }",
    ),
    (
        "google/type/quaternion.proto",
        "google.type",
        "message Quaternion { double x = 1; double y = 2; double z = 3; double w = 4; }",
    ),
    (
        "google/type/localized_text.proto",
        "google.type",
        "message LocalizedText { string text = 1; string language_code = 2; }",
    ),
    (
        "confluent/meta.proto",
        "confluent",
        "message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }",
    ),
    (
        DECIMAL,
        "confluent.type",
        "message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }",
    ),
];

/// The text of a file that everybody has.
pub(crate) fn text(path: &str) -> Option<String> {
    if path == WRAPPERS {
        return Some(WRAPPERS_TEXT.to_owned());
    }
    FILES
        .iter()
        .find(|(known, ..)| *known == path)
        .map(|(_, package, body)| format!("syntax = \"proto3\"; package {package}; {body}"))
}

/// Whether a file needs no reference to be imported (`skip.known.types`).
pub fn is_known(path: &str) -> bool {
    text(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pool;

    #[test]
    fn every_known_file_is_one() {
        for (path, ..) in FILES {
            Pool::new(&text(path).expect("known"), &[]).expect(path);
        }
        Pool::new(WRAPPERS_TEXT, &[]).expect("valid");
        assert!(!is_known("common.proto"));
    }
}
