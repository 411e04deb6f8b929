# What the completion below needs of the package bash-completion, for a shell
# without it: the words of the line up to the cursor, with : and = as letters.
if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
    _get_comp_words_by_ref()
    {
        words=()
        cword=0
        local i word glued rest=${COMP_LINE:0:COMP_POINT}
        for ((i = 0; i <= COMP_CWORD; i++)); do
            word=${COMP_WORDS[i]}
            # A part without space before it belongs to the one before it.
            glued=
            if ((i > 0)) && [[ $rest != [[:space:]]* && ($word == [:=]* || ${COMP_WORDS[i - 1]} == *[:=]) ]]; then
                glued=yes
            fi
            while [[ $rest == [[:space:]]* ]]; do
                rest=${rest:1}
            done
            ((i < COMP_CWORD)) || word=$rest
            rest=${rest:${#word}}
            if [[ -n $glued ]]; then
                words[cword]+=$word
            else
                ((i == 0)) || ((++cword))
                words[cword]=$word
            fi
        done
        cur=${words[cword]}
        prev=
        ((cword == 0)) || prev=${words[cword - 1]}
    }
fi

