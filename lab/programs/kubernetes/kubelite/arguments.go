package main

import (
	"fmt"
	"os"
	"strings"
)

// readArguments reads a file of MicroK8s's args directory.
func readArguments(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w; give its --…-args-file", err)
	}
	return splitArguments(string(text)), nil
}

// splitArguments splits as MicroK8s's own kubelite does (ReadArgsFromFile in its patches): empty lines and comments are left
// out, every quote is deleted, words end at spaces, and variables of the environment are filled in.
func splitArguments(text string) []string {
	var words []string
	for line := range strings.Lines(text) {
		line = strings.NewReplacer(`"`, "", `'`, "").Replace(strings.TrimSpace(line))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for word := range strings.FieldsSeq(line) {
			words = append(words, os.ExpandEnv(word))
		}
	}
	return words
}
