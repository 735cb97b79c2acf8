package main

import (
	"bytes"
	"fmt"
	"strings"
)

// dataNotices are the terms of data in the binary that comes from elsewhere.
const dataNotices = `Data

The public suffix list, https://publicsuffix.org/list/, is used under the Mozilla Public License 2.0,
https://mozilla.org/MPL/2.0/; its source is at that address.

The tables of look-alike characters derive from data files of the Unicode Character Database and of Unicode
Technical Standard #39, Copyright © 1991-2025 Unicode, Inc., used under the Unicode License V3,
https://www.unicode.org/license.txt.

The glyph and keyboard tables of dnstwist's algorithms come from dnstwist, https://github.com/elceef/dnstwist,
Copyright Marcin Ulikowski, used under the Apache License 2.0, whose text is below.
`

// notices is the text that goes with every binary: the terms of all that is in
// it and is not ours. Modules that some targets do not link are in it too.
func notices(modules []module) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "typostream is licensed under the Apache License 2.0, see LICENSE.\nIts binaries contain the following works of others.\n\n%s\nModules\n\n", dataNotices)
	for _, m := range modules {
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace(m.name()+"  "+m.expression()))
	}
	for _, m := range modules {
		for _, l := range m.licences {
			fmt.Fprintf(&b, "\n%s\n%s, %s\n\n%s\n", strings.Repeat("=", 80), m.name(), l.file, strings.TrimSpace(strings.ReplaceAll(l.text, "\r\n", "\n")))
		}
	}
	return b.Bytes()
}

// name is how people call the module. Go's library has the version of the
// compiler, which the binary knows.
func (m module) name() string {
	if m.path == std {
		return "The Go standard library and runtime"
	}
	return m.path + " " + m.version
}

// expression is the module's licence by SPDX: that of its root, then those of
// what it holds from elsewhere.
func (m module) expression() string {
	var ids []string
	seen := map[string]bool{}
	for _, l := range m.licences {
		for _, id := range strings.Split(l.id, " AND ") {
			if id != "" && !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return strings.Join(ids, " AND ")
}
