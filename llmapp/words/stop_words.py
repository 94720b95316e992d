"""Words that say nothing of what a text is about, by language, folded. Left out of a question that has others.

Own lists of function words, short on purpose: a word on the list is never looked for, a common one that is not costs a
little time. SciFact's training questions say what a list is worth, see decision 0014.
"""

from __future__ import annotations

_LISTS = {
    "de": """
        aber als am an auch auf aus bei bin bis da dann das dass dem den denn der des die dies diese diesem diesen dieser
        dieses du durch ein eine einem einen einer eines er es fur hat hatte hatten habe haben hier ich ihr ihre ihrem ihren
        ihrer im in ins ist ja kann konnen mit nach nicht noch nun nur ob oder sein seine seinem seinen seiner sich sie sind
        so um und uns unter vom von vor wann war waren warum was welche welchem welchen welcher welches wem wen wenn wer werden
        wessen wie wieviel wird wo wurde wurden zu zum zur uber
    """,
    "en": """
        a an and are as at be been but by can did do does for from had has have how i if in into is it its of on or s so such
        t than that the their them then there these they this those to was we were what when where which who whom whose why
        will with would you your
    """,
    "es": """
        a al ante como con cual cuales cuando cuanto cuantos de del desde donde e el ella ellas ellos en entre era eran es esa
        ese eso esta estan este esto estos fue fueron ha han hasta hay la las le les lo los mas mi muy no nos o para pero por
        porque que quien quienes se ser si sin sobre son su sus tambien te tiene tu u un una unas uno unos y ya yo
    """,
    "fr": """
        a ai au aux avec avait c ce cela ces cet cette comment d dans de des dont du elle elles en est et etaient etait ete etre
        eu il ils j je l la le les leur leurs lui m ma mais me mes n ne nos notre nous on ont ou par pas pour pourquoi qu quand
        que quel quelle quelles quels qui quoi s sa se ses si son sont sur t ta te tes tu un une vos votre vous y
    """,
    "it": """
        a ad ai al alla alle allo anche c che chi ci come con cosa da dal dalla dei del della delle dello di dove e ed era erano
        gli ha hanno i il in io l la le lo ma mi ne nei nel nella nelle noi non o per perche piu quale quali quando quanto
        quella quelle quelli quello questa queste questi questo se si sono su sua sue sui sul sulla suo suoi tra tu un una
        uno vi
    """,
    "nl": """
        aan al als bij dan dat de der deze die dit door een en er had hadden heb hebben heeft het hoe hun ik in is je kan maar
        me met mij mijn na naar niet nog nu of om ook op over te tot uit van veel voor waar waarom wanneer waren was wat we
        welk welke werd werden wie wij wordt worden ze zich zij zijn zo
    """,
    "pt": """
        a ao aos as ate com como da das de dela dele do dos e ela elas ele eles em entre era eram essa esse esta este eu foi
        foram ha isso isto ja la lhe mais mas me meu minha muito na nao nas no nos o onde os ou para pela pelas pelo pelos por
        porque quais qual quando quanto que quem se sem ser seu seus sua suas tambem te tem um uma umas uns voce
    """,
}
STOP_WORDS = {language: frozenset(words.split()) for language, words in _LISTS.items()}
"""By ISO 639-1 code; a language without a list has none."""
