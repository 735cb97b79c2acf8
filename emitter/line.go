package emitter

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"unicode/utf8"
)

// A spool line, version 2, is one JSON object and a line feed:
//
//	{"v":2,"topic":"domains.candidates","key":"sbii.co.in","unknown":false,"crc32c":2527930167,"value":{…}}
//
// The CRC-32C is over the bytes of the topic, the key and the value, with a zero
// byte after each of the first two; in version 1, which is still read, over key
// and value alone. unknown is true when the message may already be in the topic.
// A value that is one line of valid UTF-8 JSON stands there byte for byte; any
// other is base64 in value_base64, as is a key that is not UTF-8 in key_base64.
//
// encoding/json reads these lines, not the faster codec of the events: what
// matters here is that raw bytes come back unchanged from hostile files.
type spoolLine struct {
	V           int             `json:"v"`
	Topic       string          `json:"topic"`
	Key         string          `json:"key"`
	KeyBase64   []byte          `json:"key_base64"`
	Unknown     bool            `json:"unknown"`
	CRC32C      *uint32         `json:"crc32c"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 []byte          `json:"value_base64"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// lineVersion is that of the lines that are written.
const lineVersion = 2

func lineCRC(version int, m *Message) uint32 {
	var sum uint32
	add := func(text string) { sum = crc32.Update(sum, castagnoli, []byte(text)) }
	if version == 1 {
		add(m.Key)
	} else {
		add(m.Topic)
		add("\x00")
		add(m.Key)
		add("\x00")
	}
	return crc32.Update(sum, castagnoli, m.Value)
}

// linePrefix is how the lines that are written begin.
const linePrefix = `{"v":2,"topic":`

// appendSpoolLine appends the line of m, with its line feed.
func appendSpoolLine(dst []byte, m *Message, unknown bool) []byte {
	dst = append(dst, linePrefix...)
	dst = appendString(dst, m.Topic)
	if utf8.ValidString(m.Key) {
		dst = append(dst, `,"key":`...)
		dst = appendString(dst, m.Key)
	} else {
		dst = append(dst, `,"key_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(m.Key))
		dst = append(dst, '"')
	}
	dst = append(dst, `,"unknown":`...)
	dst = strconv.AppendBool(dst, unknown)
	dst = append(dst, `,"crc32c":`...)
	dst = strconv.AppendUint(dst, uint64(lineCRC(lineVersion, m)), 10)
	if embeddable(m.Value) {
		dst = append(dst, `,"value":`...)
		dst = append(dst, m.Value...)
	} else {
		dst = append(dst, `,"value_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, m.Value)
		dst = append(dst, '"')
	}
	return append(dst, "}\n"...)
}

// appendString appends s, valid UTF-8, as a JSON string.
func appendString(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return append(dst, `""`...)
	}
	return append(dst, b...)
}

// embeddable tells whether the value can stand in a line as it is and be cut
// out again unchanged.
func embeddable(v []byte) bool {
	return len(v) > 0 && !bytes.ContainsAny(v, "\n\r") && len(bytes.TrimSpace(v)) == len(v) &&
		utf8.Valid(v) && json.Valid(v)
}

// replayTopics says where bare events go.
type replayTopics struct{ events, crawl, inactive string }

// lineKind is what a line of a file is.
type lineKind uint8

const (
	bareEvent lineKind = iota
	spoolEvent
	deadEvent // of the dead letters
)

// decodeLine reads one line, without its line feed, of a spool, of saved events
// or of the dead letters. unknown says that the message may be in its topic. The
// message's bytes do not share memory with the line.
func decodeLine(line []byte, topics replayTopics) (m Message, kind lineKind, unknown bool, err error) {
	var has struct {
		V       json.RawMessage `json:"v"`
		CRC32C  json.RawMessage `json:"crc32c"`
		Failure json.RawMessage `json:"failure_type"`
	}
	if err := json.Unmarshal(line, &has); err != nil {
		return Message{}, bareEvent, false, jsonFault(err)
	}
	switch {
	case has.V != nil && has.CRC32C != nil:
		m, unknown, err = decodeSpooled(line)
		return m, spoolEvent, unknown, err
	case has.Failure != nil:
		letter, err := parseLetter(line)
		if err != nil {
			return Message{}, deadEvent, false, err
		}
		m, ok := letter.Message()
		if !ok {
			return Message{}, deadEvent, false, errors.New("a dead letter that holds no event")
		}
		return m, deadEvent, false, nil
	}
	m, err = decodeBare(line, topics)
	return m, bareEvent, false, err
}

func jsonFault(err error) error {
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errors.New("not a JSON object with the fields of an event")
	}
	return fmt.Errorf("not JSON: %w", err)
}

// decodeSpooled reads a line of the spool and checks it. unknown is what the
// line says of itself.
func decodeSpooled(line []byte) (m Message, unknown bool, err error) {
	var l spoolLine
	if err := json.Unmarshal(line, &l); err != nil {
		return Message{}, false, jsonFault(err)
	}
	if l.V < 1 || l.V > lineVersion {
		return Message{}, false, fmt.Errorf("spool line of version %d; this program reads versions up to %d", l.V, lineVersion)
	}
	m = Message{Topic: l.Topic, Key: l.Key, Value: l.Value}
	if l.KeyBase64 != nil {
		m.Key = string(l.KeyBase64)
	}
	if l.ValueBase64 != nil {
		m.Value = l.ValueBase64
	}
	if l.CRC32C == nil || *l.CRC32C != lineCRC(l.V, &m) {
		return Message{}, false, errors.New("checksum does not match: the line was changed or damaged")
	}
	return m, l.Unknown, checkLine(&m)
}

// lineKey returns topic and key of a spool line, without a check of the rest.
// Lines as we write them, but for those with unusual keys, cost no JSON parser.
func lineKey(line []byte) (m Message, ok bool) {
	if rest, plain := bytes.CutPrefix(line, []byte(linePrefix+`"`)); plain {
		topic, rest, _ := bytes.Cut(rest, []byte(`","key":"`))
		key, _, found := bytes.Cut(rest, []byte(`","unknown":`))
		if found && !bytes.ContainsAny(topic, `"\\`) && !bytes.ContainsAny(key, `"\\`) {
			return Message{Topic: string(topic), Key: string(key)}, true
		}
	}
	m, _, err := decodeSpooled(line)
	return m, err == nil
}

func checkLine(m *Message) error {
	if err := checkMessages([]Message{*m}); err != nil {
		if me, ok := errors.AsType[*MessageError](err); ok {
			return errors.New(me.Reason)
		}
		return err
	}
	return nil
}

// decodeBare reads a saved event: the line is the value, the key is its name.
// Records of the crawl and inactive topics are told by their fields; the
// latter have no key.
func decodeBare(line []byte, topics replayTopics) (Message, error) {
	var e struct {
		CanonicalFQDN string          `json:"canonical_fqdn"`
		FQDN          string          `json:"fqdn"`
		Host          string          `json:"host"`
		SchemaVersion json.RawMessage `json:"schema_version"`
		URL           json.RawMessage `json:"url"`
		Status        json.RawMessage `json:"status"`
		Typostream    struct {
			State string `json:"state"`
		} `json:"typostream"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return Message{}, jsonFault(err)
	}
	m := Message{Topic: topics.events, Key: firstOf(e.CanonicalFQDN, e.FQDN, e.Host)}
	if m.Key == "" {
		return Message{}, errors.New("no canonical_fqdn, fqdn or host to take the key from")
	}
	if state := e.Typostream.State; state == "absent" || state == "unknown" {
		return Message{}, fmt.Errorf("the name is %s, so it is no candidate", state)
	}
	if string(e.SchemaVersion) == `"v1"` {
		switch {
		case e.URL != nil:
			m.Topic = topics.crawl
		case e.Status != nil:
			m.Topic, m.Key = topics.inactive, ""
		}
	}
	if m.Topic == "" {
		return Message{}, errors.New("no topic is set for records of this kind")
	}
	m.Value = bytes.Clone(line)
	return m, checkLine(&m)
}

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
