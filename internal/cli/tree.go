package cli

import "github.com/spf13/cobra"

// Tree returns the commands without a process to run in: for the reference
// pages, which are written from their help texts and flags. Nothing in it may be
// executed.
func Tree() *cobra.Command {
	c := &command{Streams: Streams{Getenv: func(string) string { return "" }, Home: "~/.liftlock"}}
	root := c.root()
	root.InitDefaultCompletionCmd()
	return root
}
