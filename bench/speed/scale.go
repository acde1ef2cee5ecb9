package main

// scale is what much of something costs.
var scale = []scenario{}
