// Command race increments a number in two goroutines at once, or, when told to
// wait, in one after the other.
package main

import (
	"fmt"
	"os"
)

func main() {
	n, ended := 0, make(chan struct{})
	go func() {
		defer close(ended)
		n++
	}()
	wait := len(os.Args) > 1
	if wait {
		<-ended
	}
	n++
	<-ended
	fmt.Println(n)
}
