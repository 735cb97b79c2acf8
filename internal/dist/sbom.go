package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// billOfMaterials is the CycloneDX bill of a binary: the modules that Go wrote
// into it, with their licences.
func billOfMaterials(b built, binary []byte, modules []module) ([]byte, error) {
	licences := map[string]string{}
	for _, m := range modules {
		licences[m.path] = m.expression()
	}
	sum := sha256.Sum256(binary)
	ours := component(cdx.ComponentTypeApplication, b.info.Main.Path, "v"+b.version(), "Apache-2.0")
	ours.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sum)}}
	components := []cdx.Component{component(cdx.ComponentTypeLibrary, std, strings.TrimPrefix(b.info.GoVersion, "go"), licences[std])}
	for _, m := range b.info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		licence, ok := licences[m.Path]
		if !ok {
			return nil, fmt.Errorf("%s is linked, and go list does not say so", m.Path)
		}
		components = append(components, component(cdx.ComponentTypeLibrary, m.Path, m.Version, licence))
	}
	uses := make([]string, len(components))
	for i, c := range components {
		uses[i] = c.BOMRef
	}
	bom := cdx.NewBOM()
	// The number must be another for each binary, and the same for the same.
	bom.SerialNumber = uuid(sum)
	bom.Metadata = &cdx.Metadata{Timestamp: b.time().Format(time.RFC3339), Component: &ours, Properties: &[]cdx.Property{
		{Name: "typostream:target", Value: b.String()}, {Name: "typostream:revision", Value: b.setting("vcs.revision")},
	}}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: ours.BOMRef, Dependencies: &uses}}
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

// uuid makes a UUID of version 8 (RFC 9562) of a sum.
func uuid(sum [sha256.Size]byte) string {
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func component(kind cdx.ComponentType, path, version, licence string) cdx.Component {
	ref := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cdx.Component{
		BOMRef: ref, Type: kind, Name: path, Version: version, PackageURL: ref,
		Licenses: &cdx.Licenses{{Expression: licence}},
	}
}
