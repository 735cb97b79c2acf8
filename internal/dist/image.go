package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"os"
	"path/filepath"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// image writes what docker/Dockerfile copies into the image, root/ and the empty
// volume/, and beside them the version, for its label.
func (d *dist) image(ctx context.Context, t target, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	certificates := filepath.Join(root, "etc", "ssl", "certs")
	docs := filepath.Join(root, "usr", "share", "doc", "typostream")
	for _, folder := range []string{certificates, docs, filepath.Join(dir, "volume")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	b, err := d.build(ctx, t, root)
	if err != nil {
		return err
	}
	modules, err := d.linked(ctx, []target{t})
	if err != nil {
		return err
	}
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	for path, content := range map[string][]byte{
		filepath.Join(dir, "version"):                      []byte(b.version() + "\n"),
		filepath.Join(certificates, "ca-certificates.crt"): rootCertificates(),
		filepath.Join(docs, "LICENSE"):                     licence,
		filepath.Join(docs, "THIRD_PARTY_NOTICES.txt"):     notices(modules),
	} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// rootCertificates are the authorities that Mozilla trusts, as a file. One that
// it trusts under a condition only is left out: a file cannot say so.
func rootCertificates() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.Bytes()
}
