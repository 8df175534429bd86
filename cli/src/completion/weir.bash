# Completion of weir for bash 4.4 and later.
_weir_complete() {
    # bash cuts words at `=` and `:`; weir gets them whole, as they stand on the line
    # up to the cursor.
    local line=${COMP_LINE:0:COMP_POINT} words=() word i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if [[ $i -eq 0 || -z $line || $line == [[:blank:]]* ]]; then
            words+=('')
            line=${line#"${line%%[![:blank:]]*}"}
        fi
        word=${COMP_WORDS[i]}
        ((i < COMP_CWORD)) || word=$line
        words[-1]+=$word
        line=${line#"$word"}
    done
    mapfile -d $'\v' -t COMPREPLY < <(COMPLETE=bash _WEIR_TEXT="$2" weir -- "${words[@]}" 2>/dev/null)
    # A directory goes on.
    [[ ${COMPREPLY-} != */ ]] || compopt -o nospace
}
complete -o bashdefault -o nosort -F _weir_complete weir
